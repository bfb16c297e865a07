"""Why a name may differ from Keras's: a pattern of names -> the reason. The first that fits counts."""

_STEP = (
    "a step takes one batch and is one text for every engine: state is explicit underneath and invisible on top, so it "
    "is neither an argument nor a result (Keras's steps on JAX take and return it)"
)
_JAX_TRAINER = "a part of Keras's JAX trainer, whose work the loop of kerata does with `StateScope`"
_BUILD = "Keras's own base class says `variables` and `gradient`; one method of the base class does for all rules"

REASONS: dict[str, str] = {
    "keras*.train_step": _STEP,
    "keras*.test_step": _STEP,
    "keras*.predict_step": _STEP,
    "keras*.jax_state_sync": _JAX_TRAINER,
    "keras*.compute_loss_and_updates": _JAX_TRAINER,
    "keras.optimizers.*.build": _BUILD,
    "keras.optimizers.*.update_step": _BUILD,
    "keras.mixed_precision.LossScaleOptimizer.build": _BUILD,
    "keras.layers.RandomGrayscale.*": "the methods take what those of the base class take, as for every other layer",
}
