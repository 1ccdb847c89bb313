//! From the values of one image to its pixels: the pass over the data.

use super::layout::Layout;
use super::normalize::Map;
use super::sample::Sample;
use super::vectorised::vectorised;

/// Pixels converted at a time, so that the planes of a block stay in the cache until they are
/// interleaved.
const BLOCK: usize = 2048;

/// The pixels of one image, channels interleaved. `maps` holds one map for all channels, or one
/// for each.
pub(super) fn pixels<T: Sample>(
    values: &[T],
    channels: usize,
    layout: Layout,
    maps: &[Map],
) -> Vec<u8> {
    match (layout, channels, maps) {
        (_, 1, [map, ..]) | (Layout::Hwc, _, [map]) => {
            let mut out = vec![0; values.len()];
            map.apply(values, &mut out);
            out
        }
        (layout, 2, maps) => woven::<T, 2>(values, layout, maps),
        (layout, 3, maps) => woven::<T, 3>(values, layout, maps),
        (layout, _, maps) => woven::<T, 4>(values, layout, maps),
    }
}

fn woven<T: Sample, const CHANNELS: usize>(values: &[T], layout: Layout, maps: &[Map]) -> Vec<u8> {
    let len = values.len() / CHANNELS;
    let mut pixels = vec![[0; CHANNELS]; len];
    let mut planes = [[0; BLOCK]; CHANNELS];
    for (block, pixels) in pixels.chunks_mut(BLOCK).enumerate() {
        let start = block * BLOCK;
        let end = start + pixels.len();
        for (channel, plane) in planes.iter_mut().enumerate() {
            let map = maps[channel.min(maps.len() - 1)];
            let plane = &mut plane[..pixels.len()];
            match layout {
                Layout::Chw => map.apply(&values[channel * len..][start..end], plane),
                Layout::Hwc => {
                    let (values, _) = values.as_chunks::<CHANNELS>();
                    let channel = Vec::from_iter(values[start..end].iter().map(|v| v[channel]));
                    map.apply(&channel, plane);
                }
            }
        }
        weave(&planes, pixels);
    }
    pixels.into_flattened()
}

fn weave<const CHANNELS: usize>(planes: &[[u8; BLOCK]; CHANNELS], pixels: &mut [[u8; CHANNELS]]) {
    vectorised(
        #[inline(always)]
        || {
            for (i, pixel) in pixels.iter_mut().take(BLOCK).enumerate() {
                for (channel, byte) in pixel.iter_mut().enumerate() {
                    *byte = planes[channel][i];
                }
            }
        },
    );
}
