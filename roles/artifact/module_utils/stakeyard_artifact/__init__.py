"""Fetch, verify and build pinned artifacts on the control machine."""

from .model import ArtifactError, Release, parse_release
from .retrieve import Obtained, default_cache, load, obtain

__all__ = ["ArtifactError", "Obtained", "Release", "default_cache", "load", "obtain", "parse_release"]
