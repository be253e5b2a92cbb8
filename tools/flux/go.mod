module github.com/oci-source-operator/tools/flux

go 1.26.0

// Built by itself, so that what it pins in its own go.mod and go.sum counts.
require github.com/fluxcd/flux2/v2 v2.9.5 // indirect
