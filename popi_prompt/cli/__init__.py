"""The command line: parse, one library call, render. rich and click live here only."""
