//! What is asked of a tensor's device, and when: through a tensor that keeps a record.

use std::sync::{Arc, Mutex};

use wandb_image::{
    DType, Error, HostTensor, ImageOptions, IntoWandbImage, Normalize, Result, Snapshot,
};

/// A batch of four grey pixels on a device that notes what is done to it, and may be broken.
#[derive(Clone, Default)]
struct OnDevice {
    calls: Arc<Mutex<Vec<String>>>,
    broken: bool,
}

impl OnDevice {
    fn note(&self, call: impl Into<String>) {
        self.calls.lock().unwrap().push(call.into());
    }

    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    fn held(&self, values: Vec<u8>) -> Snapshot {
        let device = self.clone();
        Snapshot::new([values.len(), 1, 1, 1], DType::U8, move || {
            device.note(format!("move {values:?}"));
            match device.broken {
                true => Err(Error::device("the device fell off the bus")),
                false => HostTensor::new([values.len(), 1, 1, 1], values),
            }
        })
    }
}

impl IntoWandbImage for OnDevice {
    fn to_host(&self) -> Result<HostTensor> {
        panic!("a snapshot is enough");
    }
    fn shape(&self) -> Result<Vec<usize>> {
        Ok(vec![4, 1, 1, 1])
    }
    fn dtype(&self) -> Result<DType> {
        Ok(DType::U8)
    }
    fn select(&self, indices: &[usize]) -> Result<Snapshot> {
        self.note(format!("select {indices:?}"));
        Ok(self.held(indices.iter().map(|&i| i as u8).collect()))
    }
    fn snapshot(&self) -> Result<Snapshot> {
        self.note("snapshot");
        Ok(self.held(vec![0, 1, 2, 3]))
    }
}

fn as_it_is() -> ImageOptions {
    ImageOptions::new().normalize(Normalize::Off)
}

#[test]
fn a_batch_is_moved_once_and_when_its_first_picture_is_made() {
    let tensor = OnDevice::default();
    let images = tensor.to_wandb_images_with(&as_it_is()).unwrap();
    assert_eq!(tensor.calls(), ["snapshot"]);
    assert_eq!((images[3].width(), images[3].height()), (1, 1));
    assert_eq!(tensor.calls(), [""; 0]);
    for (i, image) in images.iter().enumerate() {
        assert_eq!(image.pixels().unwrap().as_bytes(), [i as u8]);
    }
    assert_eq!(tensor.calls(), ["move [0, 1, 2, 3]"]);
}

#[test]
fn only_what_is_shown_leaves_the_device() {
    let tensor = OnDevice::default();
    let images = tensor
        .to_wandb_images_with(&as_it_is().max_images(2))
        .unwrap();
    assert_eq!(images.len(), 2);
    images[1].pixels().unwrap();
    assert_eq!(tensor.calls(), ["select [0, 1]", "move [0, 1]"]);
    let grid = tensor
        .to_wandb_image_with(&as_it_is().max_images(1))
        .unwrap();
    grid.pixels().unwrap();
    assert_eq!(tensor.calls(), ["select [0]", "move [0]"]);
    tensor
        .to_wandb_images_with(&as_it_is().max_images(4))
        .unwrap();
    assert_eq!(tensor.calls(), ["snapshot"]);
}

#[test]
fn a_fault_of_the_device_surfaces_when_the_picture_is_made() {
    let tensor = OnDevice {
        broken: true,
        ..OnDevice::default()
    };
    let images = tensor.to_wandb_images_with(&as_it_is()).unwrap();
    for image in &images {
        let error = image.pixels().unwrap_err().to_string();
        assert!(error.contains("the device fell off the bus"), "{error}");
    }
    assert_eq!(tensor.calls(), ["snapshot", "move [0, 1, 2, 3]"]);
}

#[test]
fn a_snapshot_that_is_not_what_it_promised_is_an_error() {
    struct Liar;
    impl IntoWandbImage for Liar {
        fn to_host(&self) -> Result<HostTensor> {
            HostTensor::new([1, 1], vec![0_u8])
        }
        fn snapshot(&self) -> Result<Snapshot> {
            Ok(Snapshot::new([2, 2], DType::U8, || Liar.to_host()))
        }
    }
    let error = Liar
        .to_wandb_image()
        .unwrap()
        .pixels()
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("arrived as [1, 1] of u8") && error.contains("[2, 2]"),
        "{error}"
    );
}
