//! The Python binding: converts, lets go of the GIL, calls one function, converts back.
