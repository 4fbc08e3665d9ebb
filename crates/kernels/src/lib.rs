//! Matrix and vector kernels with the same bits on every instruction set.
