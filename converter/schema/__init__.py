"""Messages of other people's files, described in code: no generated modules, and none of their libraries."""
