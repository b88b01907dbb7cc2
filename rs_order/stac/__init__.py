"""The STAC face: orders as collections, their products as items, and orders of items (faces.md 2)."""
