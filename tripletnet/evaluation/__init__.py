"""Judge codes: NumPy codes and labels in, figures out. Knows neither images nor MXNet."""
