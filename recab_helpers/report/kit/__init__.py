"""What every section is made with: pieces of HTML, figures, words. Nothing here knows a section."""
