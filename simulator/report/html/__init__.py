"""Reports as one HTML file that needs no network: runs, sweeps and plans, read from their folders.

A *source* reads a folder, a *page* says what it shows, in blocks of text, tables and charts;
`render` writes any page as HTML, `pictures` draws its charts as PNG or SVG.
"""
