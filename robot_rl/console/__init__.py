"""The operator's console: a web page over a live run. Needs the extra ``console``; nothing heavy is loaded here."""
