// Detectors' operators of a Paddle.js package -> the runtime's: several results, in the order that it has them.

/** @typedef {import('./paddlejs_reader.js').Reader} Reader */
/** @typedef {import('./paddlejs_ops.js').Handler} Handler */

/** @param {string[]} slots @param {Record<string, any>} defaults undefined: the package must say it @returns {Handler} */
const detector = (slots, defaults) => (op) => {
  const attrs = op.takeAll(defaults);
  const missing = Object.keys(attrs).filter((name) => attrs[name] === undefined);
  if (missing.length) op.fail(`attributes ${missing.join(', ')} are missing`);
  op.skip('flatten_to_2d'); // of the original's density_prior_box, written for all priors
  return { type: op.type, attrs, slots };
};

const SUPPRESSION = {
  score_threshold: undefined, nms_top_k: undefined, keep_top_k: undefined, nms_threshold: 0.3, nms_eta: 1, normalized: true,
  background_label: 0,
};

/** @type {Record<string, Handler>} */
export const DETECTORS = {
  prior_box: detector(['Boxes', 'Variances'], {
    min_sizes: undefined, max_sizes: [], aspect_ratios: [1], variances: [0.1, 0.1, 0.2, 0.2], flip: false, clip: false,
    step_w: 0, step_h: 0, offset: 0.5, min_max_aspect_ratios_order: false,
  }),
  box_coder: detector(['OutputBox'], { code_type: 'encode_center_size', box_normalized: true, axis: 0, variance: [] }),
  yolo_box: detector(['Boxes', 'Scores'], {
    anchors: undefined, class_num: undefined, conf_thresh: undefined, downsample_ratio: undefined, clip_bbox: true,
    scale_x_y: 1, iou_aware: false, iou_aware_factor: 0.5,
  }),
  multiclass_nms: detector(['Out'], SUPPRESSION),
  multiclass_nms2: (op) => ({ ...detector(['Out', 'Index', 'NmsRoisNum'], SUPPRESSION)(op), type: 'multiclass_nms3' }),
  multiclass_nms3: detector(['Out', 'Index', 'NmsRoisNum'], SUPPRESSION),
};
