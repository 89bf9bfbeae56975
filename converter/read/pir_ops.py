"""Paddle 3's operators in Paddle 2's words: type, input slots in order, renamed attributes, output slots."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """inputs and outputs: slot names in the order of the operands. attrs: Paddle 3's name → Paddle 2's."""

    type: str
    inputs: tuple[str, ...]
    attrs: dict[str, str]
    outputs: tuple[str, ...]


# Type here | type there | inputs | renamed attributes | outputs; "=" repeats the name, outputs left out are unnamed.
_TABLE = """
    conv2d | = | Input Filter || Output
    depthwise_conv2d | = | Input Filter || Output
    conv2d_transpose | = | Input Filter OutputSizeTensor || Output
    depthwise_conv2d_transpose | = | Input Filter OutputSizeTensor || Output
    conv2d_transpose_bias | conv2d_transpose | Input Filter Bias OutputSizeTensor || Output
    pool2d | = | X KsizeTensor || Out
    max_pool2d_with_index | = | X | kernel_size:ksize | Out Mask
    batch_norm | = | X Mean Variance Scale Bias | data_format:data_layout | Y
    sync_batch_norm | batch_norm | X Mean Variance Scale Bias | data_format:data_layout | Y
    layer_norm | = | X Scale Bias || Y Mean Variance
    instance_norm | = | X Scale Bias || Y SavedMean SavedVariance
    group_norm | = | X Scale Bias | data_format:data_layout | Y Mean Variance
    add | elementwise_add | X Y || Out
    subtract | elementwise_sub | X Y || Out
    multiply | elementwise_mul | X Y || Out
    divide | elementwise_div | X Y || Out
    maximum | elementwise_max | X Y || Out
    minimum | elementwise_min | X Y || Out
    elementwise_pow | elementwise_pow | X Y || Out
    remainder | elementwise_mod | X Y || Out
    floor_divide | elementwise_floordiv | X Y || Out
    matmul | matmul_v2 | X Y | transpose_x:trans_x transpose_y:trans_y | Out
    bmm | = | X Y || Out
    relu6 | = | X || Out
    hardswish | hard_swish | X || Out
    hardsigmoid | hard_sigmoid | X || Out
    hardtanh | hardtanh | X || Out
    leaky_relu | = | X | negative_slope:alpha | Out
    prelu | = | X Alpha || Out
    clip | = | X Min Max || Out
    pow | = | X FactorTensor | y:factor | Out
    scale | = | X ScaleTensor || Out
    concat | = | X AxisTensor || Out
    stack | = | X || Y
    split | = | X SectionsTensorList AxisTensor || Out
    split_with_num | split | X AxisTensor || Out
    unbind | = | X || Out
    reshape | reshape2 | X Shape || Out XShape
    transpose | transpose2 | X | perm:axis | Out XShape
    squeeze | squeeze2 | X AxesTensor || Out XShape
    unsqueeze | unsqueeze2 | X AxesTensor || Out XShape
    flatten | flatten_contiguous_range | X || Out XShape
    expand | expand_v2 | X Shape || Out
    expand_as | expand_as_v2 | X Y || Out
    tile | = | X RepeatTimes || Out
    slice | = | Input StartsTensor EndsTensor || Out
    strided_slice | = | Input StartsTensor EndsTensor StridesTensor || Out
    shape | = | Input || Out
    shape64 | = | Input || Out
    cast | = | X | dtype:out_dtype | Out
    full | fill_constant ||| Out
    full_int_array | assign_value | | value:values | Out
    full_with_tensor | fill_constant | ValueTensor ShapeTensor || Out
    full_batch_size_like | fill_constant_batch_size_like | Input || Out
    full_like | fill_any_like | X ValueTensor || Out
    assign_value | = | Discarded || Out
    assign | = | X || Out
    share_data | = | X || Out
    assign_out_ | assign | X Discarded || Out
    gather | = | X Index Axis || Out
    gather_nd | = | X Index || Out
    index_sample | = | X Index || Out
    take_along_axis | = | Input Index | axis:Axis | Out
    put_along_axis | = | Input Index Value | axis:Axis reduce:Reduce include_self:Include_self | Out
    scatter | = | X Ids Updates || Out
    scatter_nd_add | = | X Index Updates || Out
    index_select | = | X Index | axis:dim | Out
    embedding | lookup_table_v2 | Ids W || Out
    pad3d | = | X Paddings | pad_value:value | Out
    pad | = | X PadValueTensor || Out
    nearest_interp | nearest_interp_v2 | X OutSize SizeTensor Scale | data_format:data_layout | Out
    bilinear_interp | bilinear_interp_v2 | X OutSize SizeTensor Scale | data_format:data_layout | Out
    bicubic_interp | bicubic_interp_v2 | X OutSize SizeTensor Scale | data_format:data_layout | Out
    mean | reduce_mean | X AxisTensor | axis:dim keepdim:keep_dim | Out
    sum | reduce_sum | X AxisTensor | axis:dim keepdim:keep_dim dtype:out_dtype | Out
    max | reduce_max | X AxisTensor | axis:dim keepdim:keep_dim | Out
    min | reduce_min | X AxisTensor | axis:dim keepdim:keep_dim | Out
    prod | reduce_prod | X AxisTensor | axis:dim keepdim:keep_dim | Out
    any | reduce_any | X AxisTensor | axis:dim keepdim:keep_dim | Out
    all | reduce_all | X AxisTensor | axis:dim keepdim:keep_dim | Out
    mean_all | mean | X || Out
    argmax | arg_max | X AxisTensor || Out
    argmin | arg_min | X AxisTensor || Out
    argsort | = | X || Out Indices
    topk | top_k_v2 | X K || Out Indices
    dropout | = | X Seed ProbTensor | mode:dropout_implementation | Out Mask
    pixel_shuffle | = | X || Out
    add_n | sum | X || Out
    cumsum | = | X AxisTensor || Out
    one_hot | one_hot_v2 | X depth_tensor || Out
    where | = | Condition X Y || Out
    rnn | = | Input PreState WeightList SequenceLength Discarded || Out DropoutState State Reserve
    yolo_box | = | X ImgSize || Boxes Scores
    prior_box | = | Input Image || Boxes Variances
    box_coder | = | PriorBox PriorBoxVar TargetBox || OutputBox
    multiclass_nms3 | = | BBoxes Scores RoisNum || Out Index NmsRoisNum
    nms | = | Boxes | threshold:iou_threshold | KeepBoxesIdxs
    matrix_nms | = | BBoxes Scores || Out Index RoisNum
    roi_align | = | X ROIs RoisNum || Out
    roi_pool | = | X ROIs RoisNum || Out Argmax
    generate_proposals | generate_proposals_v2 | Scores BboxDeltas ImShape Anchors Variances | \
        pre_nms_top_n:pre_nms_topN post_nms_top_n:post_nms_topN | RpnRois RpnRoiProbs RpnRoisNum
    distribute_fpn_proposals | = | FpnRois RoisNum || MultiFpnRois MultiLevelRoIsNum RestoreIndex
    collect_fpn_proposals | = | MultiLevelRois MultiLevelScores MultiLevelRoIsNum | \
        post_nms_topn:post_nms_topN | FpnRois RoisNum
    nonzero | where_index | Condition || Out
    masked_select | = | X Mask || Y
    unique | = | X || Out Indices Index Counts
    grid_sample | grid_sampler | X Grid || Output
    arange | range | Start End Step || Out
    linspace | = | Start Stop Num || Out
    eye | = | NumRows NumColumns || Out
    numel | size | Input || Out
    p_norm | = | X || Out
    frobenius_norm | = | X AxisTensor | axis:dim keepdim:keep_dim | Out
    norm | = | X || Out Norm
    logsumexp | = | X AxisTensor || Out
    roll | = | X ShiftsTensor || Out
    set_value | = | Input StartsTensorList EndsTensorList StepsTensorList || Out
    set_value_with_tensor | set_value | Input ValueTensor StartsTensorList EndsTensorList StepsTensorList || Out
    unstack | = | X || Y
    fmax | elementwise_fmax | X Y || Out
    fmin | elementwise_fmin | X Y || Out
    isnan | isnan_v2 | X || Out
    isinf | isinf_v2 | X || Out
    isfinite | isfinite_v2 | X || Out
    softshrink | = | X | threshold:lambda | Out
    hardshrink | hard_shrink | X || Out
    affine_channel | = | X Scale Bias || Out
    linear_interp | linear_interp_v2 | X OutSize SizeTensor Scale | data_format:data_layout | Out
    mv | = | X Vec || Out
    addmm | = | Input X Y | alpha:Alpha beta:Beta | Out
    lerp | = | X Y Weight || Out
    crop | crop_tensor | X Shape Offsets || Out
    quantize_linear | = | X Scale ZeroPoint InAccum InState || Y OutState OutAccum OutScale
    dequantize_linear | = | X Scale ZeroPoint InAccum InState || Y OutState OutAccum OutScale
    conv3d | = | Input Filter || Output
    depthwise_conv3d | = | Input Filter || Output
    conv3d_transpose | = | Input Filter || Output
    pool3d | = | X | kernel_size:ksize | Out
    max_pool3d_with_index | = | X | kernel_size:ksize | Out Mask
    trilinear_interp | trilinear_interp_v2 | X OutSize SizeTensor Scale | data_format:data_layout | Out
    unfold | = | X || Y
    fold | = | X || Y
    deformable_conv | = | Input Offset Filter Mask || Output
    affine_grid | = | Theta OutputShape || Output
    amax | = | X || Out
    amin | = | X || Out
    rrelu | = | X || Out Noise
    swiglu | = | X Y || Out
    rms_norm | = | X Scale || Out InvVar
    fused_rms_norm_quant | = | X Bias Residual Scale NormBias || Out ResidualOut InvVar
    lp_pool2d | = | X KsizeTensor | kernel_size:ksize | Out
    equal_all | = | X Y || Out
    sequence_mask | = | X MaxLenTensor || Y
    empty | = | ShapeTensor || Out
    broadcast_tensors | = | X || Out
    index_put | = | X Indices Value || Out
    index_add | = | X Index AddValue || Out
    matmul_with_flatten | mul | X Y || Out
    fused_gemm_epilogue | = | X Y Bias || Out ReserveSpace
    linear_v2 | = | X Y Bias || Out
    fused_conv2d_add_act | = | Input Filter Bias ResidualData || Output Outputs
    depthwise_conv2d_bias | conv2d | Input Filter Bias || Output
    increment | = | X | value:step | Out
    memcpy_h2d | memcpy | X || Out
    memcpy_d2h | memcpy | X || Out
    view_shape | reshape2 | X | dims:shape | Out
    reverse | flip | X || Out
    einsum | = | Operands || Out
    masked_fill | = | X Mask Value || Out
    isclose | = | Input Other Rtol Atol || Out
    searchsorted | = | SortedSequence Values || Out
    kron | = | X Y || Out
    repeat_interleave_with_tensor_index | = | X RepeatTensor | axis:dim | Out
    depend | assign | X Discarded || Out
    create_array | = ||| Out
    array_length | lod_array_length | X || Out
    array_read | read_from_array | X I || Out
    array_write | write_to_array | Array X I || Out
    array_to_tensor | tensor_array_to_tensor | X || Out OutIndex
    slice_array | = | Input StartsTensor EndsTensor || Out
    slice_array_dense | = | Input StartsTensor || Out
    assign_array | assign | X || Out
"""

_SAME = """relu sigmoid tanh silu swish elu gelu mish softplus exp log sqrt rsqrt square abs floor ceil round sign
    reciprocal sin cos erf logical_not softmax log_softmax flip selu
    softsign tanh_shrink thresholded_relu logsigmoid celu stanh expm1 log1p log2 log10 tan asin acos atan sinh cosh
    asinh acosh atanh bitwise_not tril triu cumprod meshgrid pixel_unshuffle channel_shuffle shuffle_channel
    temporal_shift maxout repeat_interleave trunc logit print"""
_PAIRS = """equal not_equal less_than less_equal greater_than greater_equal logical_and logical_or
    logical_xor bitwise_and bitwise_or bitwise_xor atan2 dot cross dist"""


def _rows() -> dict[str, Row]:
    rows = {name: Row(name, ("X",), {}, ("Out",)) for name in _SAME.split()}
    rows |= {name: Row(name, ("X", "Y"), {}, ("Out",)) for name in _PAIRS.split()}
    for line in _TABLE.strip().splitlines():
        name, type, inputs, attrs, outputs = (part.strip() for part in line.split("|", 4))
        renamed = dict(item.split(":") for item in attrs.split())
        rows[name] = Row(name if type == "=" else type, tuple(inputs.split()), renamed,
                         tuple(outputs.replace("|", " ").split()))
    return rows


ROWS = _rows()


def row(name: str) -> Row | None:
    """The row of an operator; "relu_" is "relu" in place."""
    return ROWS.get(name) or ROWS.get(name.removesuffix("_"))
