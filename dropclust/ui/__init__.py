"""What pages are made of: charts, controls, state, live curves and the drag-to-see component."""
