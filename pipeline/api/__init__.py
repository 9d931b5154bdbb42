"""The public API: what `import textmill` gives."""
