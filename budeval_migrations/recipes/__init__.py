"""SQL of the longer changes: a rebuilt table, a view with its history. Text in, text out."""
