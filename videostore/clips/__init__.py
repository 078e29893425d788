"""Clips: planning, cutting, uploading."""
