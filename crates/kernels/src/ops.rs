//! Elementwise operations and maxima, which are the same in any order: no kernels needed.

/// `out[i] += x[i]`.
pub fn add(out: &mut [f32], x: &[f32]) {
    for (out, x) in out.iter_mut().zip(x) {
        *out += x;
    }
}

/// The greatest element; -∞ for an empty slice. NaNs are passed over.
#[inline]
#[must_use]
pub fn max(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; 16];
    for chunk in x.chunks(16) {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane = if x > *lane { x } else { *lane };
        }
    }
    lanes.into_iter().fold(f32::NEG_INFINITY, |a, b| if b > a { b } else { a })
}

/// The index of the greatest element, the first of equals; 0 for an empty slice.
#[must_use]
pub fn argmax(x: &[f32]) -> usize {
    let greatest = max(x);
    x.iter().position(|&x| x == greatest).unwrap_or(0)
}
