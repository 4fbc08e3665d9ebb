//! Writing model.safetensors: the header, padded with spaces to eight bytes, then every tensor in
//! our order of tensors and Hugging Face's order of rows.

use super::{dims, name, our_row};
use crate::encode::encode;
use crate::save::too_large;
use crate::{Error, Model, Target, WeightType};
use ::safetensors::tensor::{Dtype, Metadata, TensorInfo};
use std::collections::HashMap;
use std::io::{self, Write};

/// Writes the whole file.
pub(crate) fn write(model: &Model, target: Target, out: &mut dyn Write) -> Result<(), Error> {
    let half = target.weights() == WeightType::F16;
    let (dtype, width) = if half { (Dtype::F16, 2) } else { (Dtype::F32, 4) };
    let mut end = 0;
    let infos = model.layout.iter().map(|(role, range)| {
        let start = end;
        end += range.len() * width;
        let info =
            TensorInfo { dtype, shape: dims(role, &model.config), data_offsets: (start, end) };
        (name(role), info)
    });
    let about = HashMap::from([(String::from("format"), String::from("pt"))]);
    let mut json = Metadata::new(Some(about), infos.collect())
        .and_then(|metadata| Ok(serde_json::to_vec(&metadata)?))
        .map_err(io::Error::other)?;
    json.resize(json.len().next_multiple_of(8), b' ');
    out.write_all(&(json.len() as u64).to_le_bytes())?;
    out.write_all(&json)?;
    let mut bytes = Vec::new();
    for (role, range) in model.layout.iter() {
        let (rows, cols) = role.shape(&model.config);
        let weights = &model.weights[range];
        for row in 0..rows {
            let ours = our_row(role, row, model.config.head_dim);
            bytes.clear();
            encode(target.weights(), &weights[ours * cols..][..cols], &mut bytes)
                .map_err(|e| too_large(role, e))?;
            out.write_all(&bytes)?;
        }
    }
    Ok(())
}
