"""The Viam module around the recorder: its process, its resource, its source of pictures."""
