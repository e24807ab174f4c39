//! Edits x receivers x suites x controls become outcomes and effects.
