"""The reconciler: repairs wrong counters and writes lost steps again."""
