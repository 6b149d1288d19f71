/** What a tool threw when it was recorded. */
export declare class ToolError extends Error {
  constructor(type: string, message: string);
}
/** retake has no recorded result for this call, or a fence stands before it: the replay has stopped. */
export declare class Refused extends Error {}
/** Wraps a function; `name` is what the model calls it. */
export declare function tool<A extends object, R>(name: string, run: (argument: A) => R | Promise<R>): (argument: A) => Promise<R>;
