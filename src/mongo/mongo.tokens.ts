/** The one `Db` of this process, majority read and write concern. */
export const DATABASE = Symbol('DATABASE');
