"""Quotes: what an order would be, without ordering anything."""
