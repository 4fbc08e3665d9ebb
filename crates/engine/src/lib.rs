//! The forward pass of a Llama model, its KV cache and its sampler.
