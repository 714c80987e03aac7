"""Parts of `--sandbox-export`: the directory that transcripts are copied to, and the record of what was copied."""
