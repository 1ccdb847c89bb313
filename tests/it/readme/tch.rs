use tch::nn::{self, Module};
use tch::{Device, Kind, Tensor};
use wandb_image::{IntoWandbImage, Row, Run};

fn log(run: &Run, step: u64) -> wandb_image::Result<()> {
    let model = nn::func(|batch| batch.relu());
    let batch = Tensor::rand([2, 3, 4, 5], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    let output = model.forward(&batch); // (N, C, H, W), on any device, with gradients or without
    run.log_at(step, Row::new().with("grid", output.to_wandb_image()?))?;
    run.log_at(step, Row::new().with("samples", output.to_wandb_images()?))?;
    Ok(())
}

#[test]
fn tch() {
    super::check("tch", include_str!("tch.rs"), |run, step| {
        log(run, step).unwrap();
    });
}
