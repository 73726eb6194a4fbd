"""Documents come (`importing`) and go (`deleting`); `doctor` finds and repairs what does not fit together."""
