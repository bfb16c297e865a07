"""Why a name may differ from Keras's: a pattern of names -> the reason. The first that fits counts."""

REASONS: dict[str, str] = {
    "keras.*Model.summary": "takes `format` besides, after all that Keras takes: the table as HTML or Markdown",
    "keras.wrappers.*.fit": "names `sample_weight`, as scikit-learn looks for it there before it gives weights; and a "
    "transformer's model may learn without targets",
    "keras.wrappers.*.set_fit_request": "scikit-learn writes this method itself, from the parameters of `fit`",
    "keras.layers.RandomGrayscale.*": "the methods take what those of the base class take, as for every other layer",
}
