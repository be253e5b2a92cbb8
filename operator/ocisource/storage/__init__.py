"""The storage room: layers become tarballs on disk, tarballs are kept, and served. The only room that touches disk."""
