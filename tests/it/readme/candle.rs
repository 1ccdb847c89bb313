use candle_core::{Device, Module, Tensor};
use wandb_image::{IntoWandbImage, Row, Run};

fn log(run: &Run, step: u64) -> Result<(), Box<dyn std::error::Error>> {
    let model = |batch: &Tensor| batch.relu();
    let batch = Tensor::rand(0_f32, 1.0, (2, 3, 4, 5), &Device::Cpu)?;
    let output = model.forward(&batch)?; // (N, C, H, W), on any device
    run.log_at(step, Row::new().with("grid", output.to_wandb_image()?))?;
    run.log_at(step, Row::new().with("samples", output.to_wandb_images()?))?;
    Ok(())
}

#[test]
fn candle() {
    super::check("candle", include_str!("candle.rs"), |run, step| {
        log(run, step).unwrap();
    });
}
