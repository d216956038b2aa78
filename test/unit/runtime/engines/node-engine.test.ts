import { hasNativePackage } from '../../../../src/runtime/engines/native-package';
import { openNodeEngine } from '../../../../src/runtime/engines/node-engine';
import { describeEngine } from '../../../support/describe-engine';

if (hasNativePackage()) {
  describeEngine('node', openNodeEngine);
} else {
  describe('node engine', () => {
    it('says how to install it where it is not', async () => {
      await expect(openNodeEngine()).rejects.toThrow('npm run native');
    });
  });
}
