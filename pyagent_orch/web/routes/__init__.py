"""The routes, a file for each noun: from a request to a call of the facade, and to a view."""
