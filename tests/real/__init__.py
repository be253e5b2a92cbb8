"""What the end-to-end tests need around the real parts: the operator as a process, images, objects."""
