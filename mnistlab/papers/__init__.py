"""Five papers: what they report and claim, the runs held against it, and the page that says how it came out."""
