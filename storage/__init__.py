"""Memory: the history in DuckDB, one module per table family; it knows no feed, model or Slack."""
