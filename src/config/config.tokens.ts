/** The `Config` of this process, parsed once at start. */
export const CONFIG = Symbol('CONFIG');
