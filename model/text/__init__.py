"""Text in: any book, corpus or table as ids, split and batched."""
