"""What a run reads: the folders and objects that its question needs, judged before a cluster starts."""
