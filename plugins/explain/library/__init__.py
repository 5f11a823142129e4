"""The lessons of each server: stored, indexed and looked up."""
