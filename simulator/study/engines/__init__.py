"""Engine profiles: fitted to measured steps, validated on what was held out, replayed."""
