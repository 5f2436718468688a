"""`AnalysisService`: what is asked, what it comes to, and what is stored of it."""
