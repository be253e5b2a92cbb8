"""The only room that speaks to clouds: as whom, for which registry → credentials that last a while."""
