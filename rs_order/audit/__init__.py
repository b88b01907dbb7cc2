"""The audit: operators read who changed what, when and why (decision 0028)."""
