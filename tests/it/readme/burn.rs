use burn::tensor::{Device, Distribution, Tensor, activation};
use wandb_image::{IntoWandbImage, Row, Run};

struct Model;

impl Model {
    fn forward(&self, batch: Tensor<4>) -> Tensor<4> {
        activation::relu(batch)
    }
}

fn log(run: &Run, step: u64) -> wandb_image::Result<()> {
    let model = Model;
    let device = Device::flex().autodiff();
    let batch = Tensor::random([2, 3, 4, 5], Distribution::Default, &device);
    let output = model.forward(batch); // Tensor<4>, on any device, with autodiff or without
    run.log_at(step, Row::new().with("grid", output.to_wandb_image()?))?;
    run.log_at(step, Row::new().with("samples", output.to_wandb_images()?))?;
    Ok(())
}

#[test]
fn burn() {
    super::check("burn", include_str!("burn.rs"), |run, step| {
        log(run, step).unwrap();
    });
}
