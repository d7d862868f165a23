// mocha's own 'spec' on the screen, and its own 'json' into the file of --reporter-option output=FILE
const {reporters} = require('mocha');

module.exports = class extends reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    new reporters.JSON(runner, options);
  }
};
