// box_coder, roi_align and yolo_box → kernels of the same names. The others never reach a lowering.
import { f32, UnsupportedError } from '../node.js';
import { coderSizes, rules, yoloSizes } from './index.js';

/** @type {import('../node.js').Lower} */
const never = () => {
  throw new UnsupportedError('it has no place in a plan');
};

/** @type {Record<string, import('../node.js').Lower>} */
export const lower = {
  ...Object.fromEntries(Object.keys(rules).map((type) => [type, never])),
  box_coder(node, to) {
    const { encode, N, M, each } = coderSizes(node), { box_normalized: normalized, axis, variance } = node.attrs;
    const spread = node.maybe('PriorBoxVar') ?? to.data(Float32Array.from(variance.length ? variance : [1, 1, 1, 1]));
    to.emit('box_coder', [
      node.x('PriorBox'), spread, node.x('TargetBox'), node.out, encode ? 1 : 0, N, M, axis, each ? 1 : 0, f32(normalized ? 0 : 1)]);
  },
  roi_align(node, to) {
    const numbers = node.x('RoisNum'), { pooled_height: h, pooled_width: w, spatial_scale: scale, sampling_ratio: ratio, aligned } = node.attrs;
    to.emit('roi_align', [
      node.x(), node.x('ROIs'), numbers, node.out, ...node.x().shape, node.x('ROIs').shape[0], h, w, Math.max(ratio, 0),
      aligned ? 1 : 0, numbers.dtype === 'int64' ? 1 : 0, f32(scale)]);
  },
  yolo_box(node, to) {
    const { N, A, H, W, classes } = yoloSizes(node), { attrs } = node, [boxes, scores] = node.outputs;
    const { downsample_ratio: ratio, scale_x_y: scale, iou_aware: aware, iou_aware_factor: factor } = attrs, s = Math.fround(scale);
    to.emit('yolo_box', [
      node.x('X'), node.x('ImgSize'), boxes, scores, to.data(Float32Array.from(attrs.anchors)), N, A, H, W, classes,
      ratio * W, ratio * H, attrs.clip_bbox ? 1 : 0, aware ? 1 : 0, f32(attrs.conf_thresh), f32(s),
      f32(Math.fround(-0.5 * Math.fround(s - 1))), f32(1 - Math.fround(factor)), f32(factor)]);
  },
};
