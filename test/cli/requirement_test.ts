import {expect} from 'chai';
import {thisHost} from '../../src/cli/host.ts';
import {compareVersions, isAmong, normalizeName, requirementsOfExtra} from '../../src/cli/requirement.ts';
import {cudaRequirements} from '../../src/cli/tensorflow_files.ts';
import {parseWheelName, runsHere} from '../../src/cli/wheel.ts';

describe('requirements of Python packages', () => {
  it('compare versions by their numbers', () => {
    expect(['12.10', '12.9.1', '12.9', '2.20.0', '2.9.1'].sort(compareVersions)).to.deep.equal([
      '2.9.1',
      '2.20.0',
      '12.9',
      '12.9.1',
      '12.10',
    ]);
    expect(compareVersions('2.20', '2.20.0')).to.equal(0);
  });

  it('are met by the versions between their bounds', () => {
    const meeting = (versions: string) =>
      ['12.5.3.1', '12.5.3.2', '12.9', '13.0', '13.0.0.1', '12.6rc1'].filter((one) => isAmong(one, versions));
    expect(meeting('<13.0,>=12.5.3.2')).to.deep.equal(['12.5.3.2', '12.9']);
    expect(meeting('==12.9.0')).to.deep.equal(['12.9']);
    expect(meeting('>12.9, !=13')).to.deep.equal(['13.0.0.1']);
    expect(() => isAmong('1.0', '~=1.0')).to.throw("cannot read the requirement '~=1.0'");
  });

  it('are read from the metadata of TensorFlow 2.18 and of 2.20', () => {
    const metadata = [
      'Requires-Dist: numpy>=1.26.0',
      "Requires-Dist: nvidia-cublas-cu12 ==12.5.3.2 ; extra == 'and-cuda'",
      'Requires-Dist: nvidia_cudnn.cu12<10.0,>=9.3.0.75; extra == "and-cuda"',
      'Requires-Dist: nvidia-nccl-cu12<3.0,>=2.25.1; extra == "and-cuda"',
      'Requires-Dist: nvidia-cuda-runtime-cu12 (<13.0,>=12.5.82) ; extra == "and-cuda"',
      'Requires-Dist: nvidia-cufft-cu12==1.0; extra == "other"\r',
    ].join('\n');
    expect(requirementsOfExtra(metadata, 'other')).to.deep.equal([
      {name: 'nvidia-cufft-cu12', versions: '==1.0'},
    ]);
    expect(cudaRequirements(metadata)).to.deep.equal([
      {name: 'nvidia-cublas-cu12', versions: '==12.5.3.2'},
      {name: 'nvidia-cudnn-cu12', versions: '<10.0,>=9.3.0.75'},
      {name: 'nvidia-cuda-runtime-cu12', versions: '<13.0,>=12.5.82'},
    ]);
  });
});

describe('names of wheels', () => {
  const glibc = (version: string) => ({...thisHost(), glibc: version});

  it('say package, version and platforms', () => {
    const name = 'tensorflow_cpu-2.20.0-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl';
    expect(parseWheelName(`/some-where/${name}`)).to.deep.equal({
      name: 'tensorflow-cpu',
      version: '2.20.0',
      platforms: ['manylinux_2_17_x86_64', 'manylinux2014_x86_64'],
    });
    for (const other of ['tensorflow-2.20.0.tar.gz', 'a-1.whl', `${name}.partial-12`]) {
      expect(parseWheelName(other), other).to.equal(undefined);
    }
    expect(normalizeName('Nvidia_cuDNN.cu12')).to.equal('nvidia-cudnn-cu12');
  });

  it('say whether a wheel runs with a C library', () => {
    const runs = (platform: string, version: string) =>
      runsHere({name: 'a', version: '1', platforms: platform.split('.')}, glibc(version));
    expect(runs('manylinux_2_27_x86_64', '2.27')).to.equal(true);
    expect(runs('manylinux_2_27_x86_64', '2.26')).to.equal(false);
    expect(runs('manylinux2014_x86_64', '2.17')).to.equal(true);
    expect(runs('manylinux2014_x86_64', '2.5')).to.equal(false);
    expect(runs('manylinux_2_27_x86_64.manylinux2010_x86_64', '2.12')).to.equal(true);
    for (const other of [
      'any',
      'win_amd64',
      'macosx_12_0_x86_64',
      'manylinux_2_17_aarch64',
      'musllinux_1_2_x86_64',
    ]) {
      expect(runs(other, '2.36'), other).to.equal(false);
    }
  });
});
