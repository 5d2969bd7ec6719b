/** There is nothing to measure here, for the reason in the message: a suite that throws this has not failed. */
export class CannotMeasure extends Error {}
