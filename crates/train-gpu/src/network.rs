//! The passes. Shapes are `(tokens, width)` with tokens = windows · context, unless a comment says
//! more; the formulas are at the head of `llamaboot_train`'s `network.rs`.

use crate::fault;
use burn_tensor::activation::{log_softmax, silu, softmax};
use burn_tensor::{Device, Int, Tensor, TensorData, Transaction};
use llamaboot_checkpoint::{Config, Role};
use llamaboot_train::{Backend, Batch, Compute, Dropout, Error, Parameters, rotations};
use std::collections::BTreeMap;

/// What a score becomes that a position does not see: e to the power of it is 0.
const HIDDEN: f32 = -1e30;

/// A model's passes on a GPU.
pub struct GpuNetwork {
    device: Device,
    name: String,
    parameters: Parameters,
}

impl GpuNetwork {
    /// On the device of this name.
    pub(crate) fn new(device: Device, name: String, parameters: Parameters) -> Self {
        Self { device, name, parameters }
    }

    /// Reads tensors back together, each as numbers in the order of its rows.
    fn read(&self, tensors: Transaction) -> Result<Vec<Vec<f32>>, Error> {
        let read = tensors.try_execute().map_err(|error| fault(&self.name, &error))?;
        let numbers = |data: TensorData| data.try_into_vec().map_err(|e| fault(&self.name, &e));
        read.into_iter().map(numbers).collect()
    }
}

impl Backend for GpuNetwork {
    fn loss(&mut self, _: &mut Compute<'_>, weights: &[f32], batch: &Batch) -> Result<f64, Error> {
        let pass = Pass::new(&self.device, &self.parameters, weights, batch, Dropout::NONE);
        let read = self.read(Transaction::default().register(pass.losses()))?;
        Ok(sum(&read.concat()))
    }

    fn gradients(
        &mut self,
        _: &mut Compute<'_>,
        weights: &[f32],
        batch: &Batch,
        scale: f32,
        gradients: &mut [f32],
        dropout: Dropout,
    ) -> Result<f64, Error> {
        let device = self.device.clone().autodiff();
        let pass = Pass::new(&device, &self.parameters, weights, batch, dropout);
        let losses = pass.losses();
        let mut found = losses.clone().sum().mul_scalar(scale).backward();
        let mut tensors = Transaction::default();
        for (role, _) in self.parameters.layout().iter() {
            let gradient = pass.weights[&role].grad_remove(&mut found);
            tensors = tensors.register(gradient.expect("every tensor has a part in the loss"));
        }
        let mut read = self.read(tensors.register(losses.without_autodiff()))?;
        let losses = read.pop().unwrap_or_default();
        for ((_, range), found) in self.parameters.layout().iter().zip(read) {
            gradients[range].iter_mut().zip(found).for_each(|(sum, gradient)| *sum += gradient);
        }
        Ok(sum(&losses))
    }
}

/// In f64, as the CPU adds losses up.
fn sum(losses: &[f32]) -> f64 {
    losses.iter().map(|&loss| f64::from(loss)).sum()
}

/// One pass, with all that it needs on the device.
struct Pass<'a> {
    device: &'a Device,
    config: &'a Config,
    batch: &'a Batch,
    dropout: Dropout,
    /// Each as [`Role::shape`] says.
    weights: BTreeMap<Role, Tensor<2>>,
    /// Of each position's pairs, `(context, 1, head_dim / 2, 1)`.
    cos: Tensor<4>,
    /// As `cos`.
    sin: Tensor<4>,
    /// 0 where a position (row) sees another, `(1, 1, context, context)`.
    mask: Tensor<4>,
}

impl<'a> Pass<'a> {
    fn new(
        device: &'a Device,
        parameters: &'a Parameters,
        weights: &[f32],
        batch: &'a Batch,
        dropout: Dropout,
    ) -> Self {
        let (config, context) = (parameters.config(), batch.context);
        let weights = parameters.layout().iter().map(|(role, range)| {
            let tensor = floats(weights[range].to_vec(), role.shape(config).into(), device);
            (role, if device.is_autodiff() { tensor.require_grad() } else { tensor })
        });
        let (cos, sin) = rotations(config, context).into_iter().unzip();
        let angles = [context, 1, config.head_dim / 2, 1];
        let sees = |at: usize| at % context <= at / context;
        let mask = (0..context * context).map(|at| if sees(at) { 0.0 } else { HIDDEN });
        Self {
            device,
            config,
            batch,
            dropout,
            weights: weights.collect(),
            cos: floats(cos, angles, device),
            sin: floats(sin, angles, device),
            mask: floats(mask.collect(), [1, 1, context, context], device),
        }
    }

    fn weight(&self, role: Role) -> Tensor<2> {
        self.weights[&role].clone()
    }

    /// Each token's loss in nats, `(tokens)`.
    fn losses(&self) -> Tensor<1> {
        let tokens = self.batch.inputs.len();
        let embedding = self.weight(Role::TokenEmbedding);
        let mut x = self.drop_out(embedding.select(0, self.ids(&self.batch.inputs)), 0);
        for l in 0..self.config.n_layers {
            let branch = self.attention(self.rmsnorm(x.clone(), Role::AttnNorm(l)), l);
            x = x + self.drop_out(branch, 2 * l + 1);
            let branch = self.ffn(self.rmsnorm(x.clone(), Role::FfnNorm(l)), l);
            x = x + self.drop_out(branch, 2 * l + 2);
        }
        let tied = !self.weights.contains_key(&Role::Output);
        let output = if tied { Role::TokenEmbedding } else { Role::Output };
        let logits = self.product(self.rmsnorm(x, Role::OutputNorm), output);
        let targets = self.ids(&self.batch.targets).reshape([tokens, 1]);
        log_softmax(logits, 1).gather(1, targets).neg().reshape([tokens])
    }

    /// `x · wᵀ`.
    fn product(&self, x: Tensor<2>, role: Role) -> Tensor<2> {
        x.matmul(self.weight(role).transpose())
    }

    fn rmsnorm(&self, x: Tensor<2>, role: Role) -> Tensor<2> {
        let mean = x.clone().powi_scalar(2).mean_dim(1);
        x / mean.add_scalar(self.config.norm_eps).sqrt() * self.weight(role)
    }

    fn ffn(&self, x: Tensor<2>, l: usize) -> Tensor<2> {
        let gate = self.product(x.clone(), Role::W1(l));
        self.product(silu(gate) * self.product(x, Role::W3(l)), Role::W2(l))
    }

    /// Queries that share a head of keys and values are rows of one product,
    /// `(windows, n_kv_heads, group · context, head_dim)`.
    fn attention(&self, x: Tensor<2>, l: usize) -> Tensor<2> {
        let (c, context, tokens) = (self.config, self.batch.context, self.batch.inputs.len());
        let (windows, group) = (tokens / context, c.n_heads / c.n_kv_heads);
        let split = |role, heads| {
            let x: Tensor<4> =
                self.product(x.clone(), role).reshape([windows, context, heads, c.head_dim]);
            x
        };
        let rows = [windows, c.n_kv_heads, group * context];
        let q = self.turn(split(Role::Wq(l), c.n_heads)).swap_dims(1, 2);
        let q = q.reshape([rows[0], rows[1], rows[2], c.head_dim]);
        let k = self.turn(split(Role::Wk(l), c.n_kv_heads)).swap_dims(1, 2);
        let v = split(Role::Wv(l), c.n_kv_heads).swap_dims(1, 2);
        let scores = q.matmul(k.transpose()).div_scalar((c.head_dim as f32).sqrt());
        let scores = scores.reshape([windows, c.n_heads, context, context]) + self.mask.clone();
        let seen = softmax(scores, 3).reshape([rows[0], rows[1], rows[2], context]);
        let out = seen.matmul(v).reshape([windows, c.n_heads, context, c.head_dim]);
        self.product(out.swap_dims(1, 2).reshape([tokens, c.q_dim()]), Role::Wo(l))
    }

    /// Turns each pair of neighbours by its position's angle, `(windows, context, heads, width)`.
    fn turn(&self, x: Tensor<4>) -> Tensor<4> {
        let [windows, context, heads, width] = x.dims();
        let pairs: Tensor<5> = x.reshape([windows, context, heads, width / 2, 2]);
        let (cos, sin) = (self.cos.clone().unsqueeze(), self.sin.clone().unsqueeze());
        let (a, b) = (pairs.clone().narrow(4, 0, 1), pairs.narrow(4, 1, 1));
        let first = a.clone() * cos.clone() - b.clone() * sin.clone();
        let second = a * sin + b * cos;
        Tensor::cat(vec![first, second], 4).reshape([windows, context, heads, width])
    }

    /// The CPU's own masks, so that a run goes nearly the same way on both.
    fn drop_out(&self, x: Tensor<2>, place: usize) -> Tensor<2> {
        let shape = x.dims();
        match self.dropout.factors(place, shape[0], shape[1]) {
            Some(factors) => x * floats(factors, shape, self.device),
            None => x,
        }
    }

    /// Tokens, `(tokens)`.
    fn ids(&self, tokens: &[u32]) -> Tensor<1, Int> {
        let ids: Vec<i32> = tokens.iter().map(|&token| token as i32).collect();
        Tensor::from_data(TensorData::new(ids, [tokens.len()]), self.device)
    }
}

fn floats<const D: usize>(numbers: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(numbers, shape), device)
}
