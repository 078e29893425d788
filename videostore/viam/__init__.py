"""The Viam module around the recorder: its process, its camera component, and its source of images."""
